"""Small geographic tables and the script that makes them."""
