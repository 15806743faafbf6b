"""The describer `rekognition`: Amazon Rekognition."""
