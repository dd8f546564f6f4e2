"""Every dense model family as tiny random checkpoints: what judge_families.py and golden_families.py prove lorac with."""
