"""What is fetched by HTTP, in bounded time and size."""
