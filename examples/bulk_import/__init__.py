"""A bulk import: thousands of Genesys Cloud queues out of a CSV file, each made exactly once.

``python -m examples.bulk_import --practice`` runs it on a fake server in bad weather;
``docs/bulk-import.md`` explains it part by part. Read it in this order:

``rows``
    what is wanted;
``queues``
    the two calls that are made;
``verdict``
    what a call's report means for its row;
``journal``
    what has become of each row, on disk;
``way``, ``importer``
    the way of a row, and the workers;
``command``, ``progress``, ``bar``, ``summary``
    the command line, and what one sees;
``practice``, ``weather``, ``comparison``
    the run on the fake server.
"""
