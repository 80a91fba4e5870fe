"""Parsers of codecs and containers, on bytes alone: NAL units, OBUs, AAC, MP4 boxes."""
