"""What people look at before they believe a number."""
