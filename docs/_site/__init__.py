"""What the site has and a forge has not.  The package ships with no release."""
