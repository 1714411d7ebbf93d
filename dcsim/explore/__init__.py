"""Questions asked of runs: does it fit the envelope?"""
