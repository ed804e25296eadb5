"""What the models share.

model.py        what a model file says of itself: Model, and the Network that it builds
datasets.py     data sets by name or from files, split into training, validation and test
readers.py      IDX, CIFAR-10, CSV and NPZ files, checked
options.py      what a run is asked for, and what was wrong with it
run.py          training: the loop, the best epoch, the test, the files of a run
tables.py       what the terminal shows
pictures.py     what a run draws
estimators.py   what weft.estimators gives; estimator_network.py: their compiled networks
"""
