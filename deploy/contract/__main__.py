"""`python -m deploy.contract`: makes `docs/contract` anew. It needs no server."""

from __future__ import annotations

from deploy.contract.documents import ROOT, documents, write

if __name__ == "__main__":
    for path in write(documents()):
        print(f"changed      {ROOT / path}")
