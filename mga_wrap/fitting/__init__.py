"""Make an accelerated network usable in a minute, taught by the original's own output on a few images."""
