"""What the module ElasticHyperReg needs of Qt and 3D Slicer; all else is ElasticHyperRegLib.

Nothing here imports torch when it is imported. Names follow Slicer: camelCase.
"""
