"""What the commands do, a file each; nothing here is imported before a command runs."""
