"""What bound containers hold and do: found, measured, shown, recorded and drawn."""
