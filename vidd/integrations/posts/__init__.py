"""What the networks that posts are read from share: HTML → text, pages, and answers in JSON."""
