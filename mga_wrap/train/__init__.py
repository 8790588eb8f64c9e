"""Staged training: data, losses, stages and a loop that resumes where it was killed."""
