"""Pictures of what a network did: overlays, panels, pages, curves."""
