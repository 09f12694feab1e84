"""What tests and the demo use to pace, watch and break this cloud. Azure has no such thing."""
