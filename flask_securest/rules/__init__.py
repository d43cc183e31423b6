"""What is written on classes and methods becomes the rule of a class and a verb."""
