"""The timeline service: posts of a social network become a video."""
