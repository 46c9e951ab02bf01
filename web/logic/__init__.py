"""What the page does: state ↔ the live controller. No rule of its own."""
