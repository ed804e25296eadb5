"""The training loop: minibatches, epochs, validation, schedules, early stopping, checkpoints, progress.

It calls compiled functions and knows nothing of how they were made: one call a step.

    data.py         where minibatches come from, and how to go on in the middle of an epoch
    schedules.py    rates as functions of the epoch
    loop.py         Trainer: the loop itself, and Evaluation
    callbacks.py    what happens after steps and epochs: early stopping, checkpoints, logs
    progress.py     the bar that people see
    checkpoint.py   one file that holds a whole run, written atomically
"""
