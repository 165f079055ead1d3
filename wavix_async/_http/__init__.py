"""One call of the API: from an operation to a request, over its attempts, to a result. It knows no resource."""
