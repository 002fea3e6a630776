"""What is allowed: guards, tiers, ways back, and who may say what. These modules are asked, and decide nothing."""
