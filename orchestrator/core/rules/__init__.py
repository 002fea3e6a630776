"""What is allowed: guards, tiers, ways back, and who may say what. Asked, and decides nothing."""
