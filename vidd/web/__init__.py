"""The aiohttp port: health, metrics, API, page."""
