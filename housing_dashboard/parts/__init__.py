"""Parts that pages are made of. Each shows itself with Streamlit, from data that its page gives it."""
