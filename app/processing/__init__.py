"""What happens to a batch of transactions: collected, decided, published and stored. No Faust."""
