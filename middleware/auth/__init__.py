"""Who a user is: HTTP's own authentication, and a form with a session."""
