"""What dcsim is held against: measured references, and the traffic they were measured with."""
