"""The `rekognition` describer, which uses Amazon Rekognition."""
