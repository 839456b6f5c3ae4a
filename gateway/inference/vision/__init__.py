"""Frames into results: pixels to tensor, a head's numbers to boxes, boxes to tracks and counts."""
