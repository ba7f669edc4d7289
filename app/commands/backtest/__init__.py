"""What another model or another threshold would have decided; nobody is told, nothing is written."""
