"""A CMS with a GraphQL API: subscription, queries, mutations."""
