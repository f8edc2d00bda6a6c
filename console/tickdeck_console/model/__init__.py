"""The console's model: pure, without textual, grpc, protobuf, clock or I/O.

`frame` is what a feed tells, `state` what is known, `reducer` folds the one into the other;
`severity`, `order`, `filtering` and `columns` decide what is shown first and how.
"""
