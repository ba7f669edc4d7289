"""The query side: what GET shows, and how Redis is kept complete."""
