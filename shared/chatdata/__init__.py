"""What chat data is: file formats, splits, the templates of models, counting tokens."""
