#!/usr/bin/env python3
"""Replaces the collection `response.cases` of a MongoDB-protocol server by the documents of a file of JSON lines.

    load_cases.py URL FILE
"""

import json
import sys

import pymongo


def main() -> None:
    url, path = sys.argv[1:]
    with open(path, encoding="utf-8") as file:
        documents = [json.loads(line) for line in file]
    cases = pymongo.MongoClient(url, serverSelectionTimeoutMS=10_000)["response"]["cases"]
    cases.drop()
    cases.insert_many(documents)


if __name__ == "__main__":
    main()
