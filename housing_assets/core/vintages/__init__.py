"""Vintages as frames: what one changed of another (`revisions`), and several sources as one panel (`join`)."""
