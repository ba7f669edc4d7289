"""What docker-compose.local.yml builds: the servers in one image."""
