"""Annotation formats: YOLO, COCO, CVAT. Pure functions."""
