"""Pages for what goes wrong in any application."""
