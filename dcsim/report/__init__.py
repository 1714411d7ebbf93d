"""What people look at: tables, JSON documents and plots of finished runs."""
