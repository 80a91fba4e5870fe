"""Draws cards, in a child: Pillow, fonts and the pictures of strangers are opened only here."""
