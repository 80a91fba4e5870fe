"""The annotation formats YOLO, COCO and CVAT. Pure functions."""
