"""What one client, one network of clients, and all of them together may take of this service"""
