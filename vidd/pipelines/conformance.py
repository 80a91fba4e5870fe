"""Has mypy check every kind of the table against the Protocols that it claims; it does nothing at run time.

A function with a misspelt name, a wrong parameter or a wrong result makes the line of its capability an error. A test
compares these lists with the table, and with the functions that the modules have.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vidd.integrations.analysis_results import step as results_step
    from vidd.integrations.annotation_service import publisher as mongo_tasks_publisher
    from vidd.integrations.annotation_service import source as process_content_source
    from vidd.integrations.aws import account as s3_account
    from vidd.integrations.aws import s3_publisher, sqs_publisher, sqs_source
    from vidd.integrations.bluesky import account as bluesky_account
    from vidd.integrations.bluesky import timeline as bluesky_timeline
    from vidd.integrations.datasets import publisher as data_set_publisher
    from vidd.integrations.datasets import source as data_sets_source
    from vidd.integrations.datasets import step as data_set_step
    from vidd.integrations.facebook import account as facebook_account
    from vidd.integrations.facebook import captions as facebook_captions_publisher
    from vidd.integrations.facebook import publisher as facebook_publisher
    from vidd.integrations.feed import account as feed_account
    from vidd.integrations.feed import timeline as feed_timeline
    from vidd.integrations.graphql_cms import account as cms_account
    from vidd.integrations.graphql_cms import source as cms_source
    from vidd.integrations.local_folder import publisher as folder_publisher
    from vidd.integrations.local_folder import source as folder_source
    from vidd.integrations.mail import account as smtp_account
    from vidd.integrations.mail import publisher as mail_publisher
    from vidd.integrations.mastodon import account as mastodon_account
    from vidd.integrations.mastodon import timeline as mastodon_timeline
    from vidd.integrations.mongodb import account as mongodb_account
    from vidd.integrations.pcloud import account as pcloud_account
    from vidd.integrations.pcloud import publisher as pcloud_publisher
    from vidd.integrations.pretalx import account as pretalx_account
    from vidd.integrations.pretalx import publisher as pretalx_publisher
    from vidd.integrations.pretalx import source as pretalx_source
    from vidd.integrations.published import source as published_source
    from vidd.integrations.schedule import source as schedule_source
    from vidd.integrations.sheet import publisher as sheet_publisher
    from vidd.integrations.sheet import source as sheet_source
    from vidd.integrations.sheet.backends.google import account as google_account
    from vidd.integrations.timeline import publisher as display_publisher
    from vidd.integrations.timeline import source as timeline_source
    from vidd.integrations.timeline import step as posts_step
    from vidd.integrations.webhook import account as webhook_account
    from vidd.integrations.webhook import publisher as webhook_publisher
    from vidd.integrations.x import account as x_account
    from vidd.integrations.x import timeline as x_timeline
    from vidd.integrations.youtube import account as youtube_account
    from vidd.integrations.youtube import captions as youtube_captions_publisher
    from vidd.integrations.youtube import publisher as youtube_publisher
    from vidd.ports.kinds import (
        AccountModule,
        Amends,
        Audits,
        Checks,
        ChecksHere,
        ChoosesPool,
        Creates,
        FollowsPipeline,
        Gates,
        Mirrors,
        NamesRoles,
        NeedsFiles,
        Publisher,
        QueueModule,
        Replaces,
        ResumesAfterPerson,
        Retracts,
        RevalidatesOutcome,
        ServesRoutes,
        Source,
        Step,
        StoreModule,
    )
    from vidd.ports.posts import PostNetwork
    from vidd.queues import local as local_queue
    from vidd.settings import secret as secret_account
    from vidd.steps import annotate as annotate_step
    from vidd.steps import captions as captions_step
    from vidd.steps import cards as cards_step
    from vidd.steps import command as command_step
    from vidd.steps import describe as describe_step
    from vidd.steps import fetch as fetch_step
    from vidd.steps import frames as frames_step
    from vidd.steps import scenes as scenes_step
    from vidd.steps import slideshow as slideshow_step
    from vidd.steps import transcode as transcode_step
    from vidd.steps import trim as trim_step
    from vidd.stores import memory as memory_store
    from vidd.stores.mongodb import store as mongo_store
    from vidd.stores.sqlite import store as sqlite_store

    SOURCES: tuple[Source, ...] = (
        cms_source,
        data_sets_source,
        folder_source,
        pretalx_source,
        process_content_source,
        published_source,
        schedule_source,
        sheet_source,
        sqs_source,
        timeline_source,
    )
    STEPS: tuple[Step, ...] = (
        annotate_step,
        captions_step,
        cards_step,
        command_step,
        data_set_step,
        describe_step,
        fetch_step,
        frames_step,
        posts_step,
        results_step,
        scenes_step,
        slideshow_step,
        transcode_step,
        trim_step,
    )
    PUBLISHERS: tuple[Publisher, ...] = (
        data_set_publisher,
        display_publisher,
        facebook_publisher,
        facebook_captions_publisher,
        folder_publisher,
        mail_publisher,
        mongo_tasks_publisher,
        pcloud_publisher,
        pretalx_publisher,
        s3_publisher,
        sheet_publisher,
        sqs_publisher,
        webhook_publisher,
        youtube_publisher,
        youtube_captions_publisher,
    )
    STORES: tuple[StoreModule, ...] = (memory_store, mongo_store, sqlite_store)
    QUEUES: tuple[QueueModule, ...] = (local_queue,)
    ACCOUNTS: tuple[AccountModule, ...] = (
        bluesky_account,
        cms_account,
        facebook_account,
        feed_account,
        google_account,
        mastodon_account,
        mongodb_account,
        pcloud_account,
        pretalx_account,
        s3_account,
        secret_account,
        smtp_account,
        webhook_account,
        x_account,
        youtube_account,
    )
    POST_NETWORKS: tuple[PostNetwork, ...] = (bluesky_timeline, feed_timeline, mastodon_timeline, x_timeline)

    CHECKS: tuple[Checks, ...] = (
        cms_source,
        data_sets_source,
        folder_source,
        pretalx_source,
        process_content_source,
        published_source,
        schedule_source,
        sheet_source,
        sqs_source,
        annotate_step,
        captions_step,
        command_step,
        data_set_step,
        fetch_step,
        results_step,
        scenes_step,
        slideshow_step,
        transcode_step,
        trim_step,
        data_set_publisher,
        display_publisher,
        facebook_publisher,
        facebook_captions_publisher,
        folder_publisher,
        mail_publisher,
        mongo_tasks_publisher,
        pcloud_publisher,
        pretalx_publisher,
        s3_publisher,
        sheet_publisher,
        sqs_publisher,
        webhook_publisher,
        youtube_publisher,
        youtube_captions_publisher,
        mongo_store,
    )
    CHECKS_HERE: tuple[ChecksHere, ...] = (
        data_sets_source,
        process_content_source,
        sheet_source,
        timeline_source,
        captions_step,
        cards_step,
        mail_publisher,
        sqlite_store,
    )
    CREATES: tuple[Creates, ...] = (sqs_source, s3_publisher, sqs_publisher)
    NAMES_ROLES: tuple[NamesRoles, ...] = (
        annotate_step,
        captions_step,
        cards_step,
        command_step,
        data_set_step,
        describe_step,
        fetch_step,
        frames_step,
        posts_step,
        results_step,
        scenes_step,
        slideshow_step,
        transcode_step,
        trim_step,
    )
    SERVES_ROUTES: tuple[ServesRoutes, ...] = (data_sets_source, process_content_source, timeline_source)
    AUDITS: tuple[Audits, ...] = (cms_source, folder_source)
    FOLLOWS_PIPELINE: tuple[FollowsPipeline, ...] = (published_source,)
    CHOOSES_POOL: tuple[ChoosesPool, ...] = (annotate_step, captions_step, command_step)
    REVALIDATES_OUTCOME: tuple[RevalidatesOutcome, ...] = (command_step, data_set_step, fetch_step, trim_step)
    NEEDS_FILES: tuple[NeedsFiles, ...] = (command_step,)
    AMENDS: tuple[Amends, ...] = (facebook_publisher, youtube_publisher)
    REPLACES: tuple[Replaces, ...] = (
        display_publisher,
        facebook_captions_publisher,
        folder_publisher,
        mongo_tasks_publisher,
        pcloud_publisher,
        s3_publisher,
        youtube_captions_publisher,
    )
    RETRACTS: tuple[Retracts, ...] = (
        display_publisher,
        facebook_publisher,
        facebook_captions_publisher,
        folder_publisher,
        pcloud_publisher,
        s3_publisher,
        youtube_publisher,
        youtube_captions_publisher,
    )
    GATES: tuple[Gates, ...] = (mongo_tasks_publisher,)
    MIRRORS: tuple[Mirrors, ...] = (pretalx_publisher, sheet_publisher)
    RESUMES_AFTER_PERSON: tuple[ResumesAfterPerson, ...] = ()
