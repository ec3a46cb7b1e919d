"""Files as answers: static folders, ranges, types."""
