"""What Google's services share: sign-in, REST calls, resumable uploads."""
