"""Send messages about ended jobs and batches to their callbacks (docs/webhooks.md)."""
