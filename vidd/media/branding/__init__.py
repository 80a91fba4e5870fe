"""What is added to a talk: intro, outro, title card, watermark."""
