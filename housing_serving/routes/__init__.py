"""Operations over HTTP, one module for each group."""
