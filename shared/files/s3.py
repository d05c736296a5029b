"""Own the signing of S3 addresses with a consumer's own credentials; nothing here touches the network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from boto3.session import Session
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from shared.errors import InvalidRequest

VALID_S = 3600
METHODS = {
    "put_object": "PUT",
    "create_multipart_upload": "POST",
    "upload_part": "PUT",
    "complete_multipart_upload": "POST",
    "abort_multipart_upload": "DELETE",
}


class Signed:
    """One object's addresses, as `s3Access` of a file object allows to make them."""

    def __init__(self, access: Mapping[str, Any], key: str) -> None:
        """Raises: InvalidRequest where endpoint or region cannot be."""
        style: Literal["path", "virtual"] = "path" if access.get("forcePathStyle", True) else "virtual"
        try:
            self._client: Any = Session().client(
                "s3",
                endpoint_url=access["endpoint"],
                region_name=access.get("region") or "us-east-1",
                aws_access_key_id=access["accessKeyId"],
                aws_secret_access_key=access["secretAccessKey"],
                config=Config(signature_version="s3v4", s3={"addressing_style": style}),
            )
        except (BotoCoreError, ValueError) as error:
            raise InvalidRequest("output: the S3 endpoint or region is not valid", path="output") from error
        self._where = {"Bucket": access["bucket"], "Key": key}

    def address(self, verb: str, **arguments: object) -> tuple[str, str]:
        """Give the method and the signed address of a verb. Raises: InvalidRequest."""
        try:
            params = {**self._where, **arguments}
            url = self._client.generate_presigned_url(verb, Params=params, ExpiresIn=VALID_S, HttpMethod=METHODS[verb])
        except (BotoCoreError, ValueError) as error:
            raise InvalidRequest("output: the S3 bucket or key is not valid", path="output") from error
        return METHODS[verb], str(url)
