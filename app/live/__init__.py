"""What happens now, for whoever watches: the log as it is written, shown as events, counted, and waited for."""
